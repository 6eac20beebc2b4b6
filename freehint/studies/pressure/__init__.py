"""What hints do to a guest whose memory runs out."""
