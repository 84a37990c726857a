"""One file to frozen structs: unknown keys and wrong types are errors that name file, line, key and the nearest name."""
