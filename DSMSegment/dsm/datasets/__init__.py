"""Public data sets as they are downloaded, to our manifest; and whether a manifest is right."""
