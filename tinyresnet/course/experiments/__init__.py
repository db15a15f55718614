"""The long experiments behind the lessons: `python -m tinyresnet.course.experiments.NAME --help`. `lessons/data` holds their results."""
