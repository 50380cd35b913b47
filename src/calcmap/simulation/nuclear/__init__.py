"""The nuclear camera beside the CT: perfusion of the left ventricle, and pictures of it."""
