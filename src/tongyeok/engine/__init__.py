"""The door to fairseq: plain arguments in, plain results out; reaches `tongyeok_fairseq` lazily."""
