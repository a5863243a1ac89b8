"""A third party's backends, of which `bold` makes trades certain and the rest make trouble."""
