"""Why a challenger lost, from named evidence."""
