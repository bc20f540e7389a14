"""`python -m pixfound`, and what `accelerate launch -m pixfound` and `torchrun -m pixfound` start."""

from pixfound.apps.evaluate import main

if __name__ == "__main__":
    main()
