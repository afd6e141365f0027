"""Work that takes time: each job runs in a child process, so that the serving one stays small and quick."""
