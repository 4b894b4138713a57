"""Finding domains, at once or with a model that is kept."""
