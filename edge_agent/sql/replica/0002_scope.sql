-- Which part of the space the copy is of: at a cursor of another scope it lacks what is new in it.

ALTER TABLE cursors ADD COLUMN scope TEXT NOT NULL DEFAULT '';
