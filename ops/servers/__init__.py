"""Servers that CityEvents works with, provisioned, started, watched and stopped on one machine.

`service.py` says what a server is to this program; each server is a module that answers to it.
Linux only: processes are told apart by what /proc says about them. Nothing but the standard library
is used, so that the program runs on a machine where nothing was prepared.
"""
