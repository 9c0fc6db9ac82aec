"""Commands beside the flow: clients of what the stages made."""
