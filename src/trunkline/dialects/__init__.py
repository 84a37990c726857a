"""Wire formats, sans-I/O. A dialect is a reader and a writer; the law is that reading undoes writing."""
