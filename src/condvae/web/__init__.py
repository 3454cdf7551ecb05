"""The page that `condvae serve` opens in a browser, and the HTTP interface beside it. Every action is one call."""
