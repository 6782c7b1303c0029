"""The pure decision core: facts in, decisions out. *Pure.*"""
