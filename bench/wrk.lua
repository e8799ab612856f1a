-- The figures as one line that a program reads; latencies in microseconds.
done = function(summary, latency)
  local bad = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status +
      summary.errors.timeout
  io.write(string.format("FIGURES %d %d %d %d %d %d\n", summary.requests, summary.duration, bad,
      latency:percentile(50), latency:percentile(99), latency:percentile(99.9)))
end
