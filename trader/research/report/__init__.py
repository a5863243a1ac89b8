"""A run as one HTML page: tables and charts."""
