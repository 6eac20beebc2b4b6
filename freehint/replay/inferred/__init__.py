"""What a replay infers where no row tells: ends of boosts and of balancing, overtaken rows."""
