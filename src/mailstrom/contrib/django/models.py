"""No models: without this module Django would not tell of `migrate` here (its signal `post_migrate`)."""
