"""What is trained on and what is held out: kinds, splitting, temporal, split_files, held_out."""
