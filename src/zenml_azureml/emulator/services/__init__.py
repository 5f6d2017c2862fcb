"""One package for each Azure service that is emulated. They import `http`, `jobs` and the state below them."""
