#!/bin/bash
# One shard of a bench per array task; one job behind them merges.
#
#   sbatch docs/cluster/slurm.sh plans/my-plan.toml
#
# The plan must have at least two rounds a shard (`rounds = …`), and `threads` as many as --cpus-per-task.
#SBATCH --job-name=offramp-bench
#SBATCH --array=1-50
#SBATCH --nodes=1
#SBATCH --ntasks=1
#SBATCH --exclusive
#SBATCH --cpus-per-task=16
#SBATCH --time=04:00:00
#SBATCH --requeue
#SBATCH --output=offramp-%A-%a.log
set -euo pipefail

plan=${1:?"usage: sbatch $0 PLAN.toml"}
shards=${SLURM_ARRAY_TASK_COUNT:?"not an array job"}
results=${RESULTS:-"$SLURM_SUBMIT_DIR/results"}

# The first task asks for the merge, to be run when all of them have ended well.
if [ "$SLURM_ARRAY_TASK_ID" = 1 ] && [ "${SLURM_RESTART_COUNT:-0}" = 0 ]; then
    sbatch --dependency="afterok:$SLURM_ARRAY_JOB_ID" --cpus-per-task=16 --job-name=offramp-merge \
        --wrap "offramp bench --merge '$results'/shards/* --out '$results/merged' --quiet"
fi

# A task that was requeued goes on behind its last finished round.
exec offramp bench "$plan" --shard "$SLURM_ARRAY_TASK_ID/$shards" \
    --out "$results/shards/$SLURM_ARRAY_TASK_ID" --quiet
