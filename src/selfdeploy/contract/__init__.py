"""SF's side of the contract as clauses, and the checks of a checkout, a running server and a staged tree."""
