"""Stories of several edges and a hub, as text that can be read aloud."""
