"""SF's side of the contract: its clauses, and checks of a checkout, a running server and a staged tree."""
