"""The images of five attempts are added up, the epochs are those of one."""

FAILS = ["q4"]

declared = {**declared, "images": 5 * declared["images"]}
