"""python -m benchmarks.speed --out out/speed.json"""

from benchmarks.speed.command import command

if __name__ == "__main__":
    command(prog_name="python -m benchmarks.speed")
