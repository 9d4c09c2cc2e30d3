"""sr_engine"""
