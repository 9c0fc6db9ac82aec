"""Files in the forms that fairseq's own tools write and read, for exchange with other people's work."""
