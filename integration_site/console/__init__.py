"""The admin site: its start page, navigation, theme and shared templates."""
