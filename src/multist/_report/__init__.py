"""A result as one page; above all other rooms, since it shows what each of them made."""
