"""What people look at: pages, pictures, tables, folders of clusters."""
