"""A client in another language, made from the .proto files alone."""
