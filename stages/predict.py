"""Run the model of one experiment once over every variant of its test fold."""

from glassbox.doors import enter
from glassbox.learning.predict import predict

if __name__ == "__main__":
    enter("predict", predict)
