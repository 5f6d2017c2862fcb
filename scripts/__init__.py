"""What makes parts of the project: pictures, tables, checks of the site."""
