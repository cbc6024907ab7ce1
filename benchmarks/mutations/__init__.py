"""The mutation study: does the verdict find bugs that are planted in translations?"""
