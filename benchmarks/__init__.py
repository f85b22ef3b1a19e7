"""What a release costs against a plain script that does the same; docs/benchmarks.md says how to read it."""
