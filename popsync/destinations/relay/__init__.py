"""What SMTP and LMTP destinations share: links, and the way of a batch over one of them."""
