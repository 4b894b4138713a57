from ._layered_tissue import layered_tissue as layered_tissue
