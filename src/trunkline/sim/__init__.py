"""An upstream that speaks the dialects over real HTTP and misbehaves on cue."""
