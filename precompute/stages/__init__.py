"""The stages of the offline job: vocabulary, collect, explain, exemplars."""
