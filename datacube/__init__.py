"""datacube"""
