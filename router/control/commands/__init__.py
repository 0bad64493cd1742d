"""What the admin API can have done: changes of the config file, and what is waited for after them."""
