"""One poll of one account, from listing to QUIT, against ports only."""
