"""The commands of `translate`, a file each: parse, call, print; nothing else."""
