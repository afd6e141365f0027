"""The admin's half of the local API, and the page that shows it; everything here needs a credential."""
