"""What a picture shows: a small classifier, a self-supervised encoder, and the metrics of both."""
