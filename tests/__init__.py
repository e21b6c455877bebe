"""Everything that shows the promises are kept; see CONTRIBUTING for what goes where."""
