# Names for what people type; the work is done by meson, scripts/ and demo/.

.PHONY: help deps build test test-quick test-long demo demo-kubernetes bench images cluster cluster-down fuzz clean

help: ## these lines
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile | expand -t 20

deps: ## install what building and testing need (Debian 12; root for packages that are missing)
	@scripts/deps

build: deps ## the programs, in build/release
	@scripts/run-tests --build release

test: deps ## all tests: units under sanitizers, fuzz corpora, black box in network namespaces (root)
	@scripts/run-tests

test-quick: deps ## units and the quicker half of the black box, in about five minutes
	@scripts/run-tests --quick

test-long: deps ## high availability, upgrades and rollout storms on real clusters of one and three nodes (root)
	@scripts/deps cluster
	@scripts/run-tests --long

demo: ## a mesh on this machine; FOR=30s ends by itself
	@scripts/deps system
	@scripts/deps python
	@scripts/run-tests --build release
	@demo/run $(if $(FOR),--for $(FOR))

demo-kubernetes: ## the mesh in a Kubernetes cluster on this machine (root); FOR=60s ends by itself; NODES=3 HA=1
	@scripts/deps
	@scripts/deps cluster
	@scripts/run-tests --build release
	@$$(scripts/deps where python)/python demo/kubernetes/run $(if $(FOR),--for $(FOR)) $(if $(NODES),--nodes $(NODES)) $(if $(HA),--ha)

bench: build ## side by side with other proxies; prints a table, writes build/bench.json
	@bench/run $(BENCH)

images: build ## container images as tars in build/images; REGISTRY=localhost/clinkerd TAG=VERSION
	@images/make $(if $(REGISTRY),--registry $(REGISTRY)) $(if $(TAG),--tag $(TAG)) $(NAME)

cluster: ## a Kubernetes cluster on this machine (root); NODES=3; make cluster-down ends it
	@scripts/deps system
	@scripts/deps python
	@scripts/deps cluster
	@test/cluster/cluster up --nodes $(or $(NODES),1)

cluster-down: ## ends it, and leaves nothing
	@test/cluster/cluster down

fuzz: deps ## every fuzzer for FOR seconds (60)
	@scripts/fuzz $(or $(FOR),60) $(NAME)

clean: ## the build folders; the cache of tools outside the tree stays
	rm -rf build
