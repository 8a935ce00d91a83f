"""The monitor: long-running processes around the pipeline. Nothing at the root needs them."""
