using Microsoft.Data.Analysis;
using Microsoft.FSharp.Core;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>How a model is loaded.</summary>
public sealed record LoadOptions
{
    /// <summary>The reward structure to use; needed if the file has several. None by default.</summary>
    public string? Reward { get; init; }

    /// <summary>Whether the probabilities of a log are intervals that hold all at once, instead of the shares that were seen. False by default.</summary>
    public bool Intervals { get; init; }

    /// <summary>The confidence of those intervals, in (0, 1); 0.95 by default.</summary>
    public double Confidence { get; init; } = 0.95;

    /// <summary>Whether each reward of a log is an outcome of its own, instead of the mean of those with the same state, action and successor: for laws of returns. Not together
    /// with intervals (ArgumentException). False by default.</summary>
    public bool DistinctRewards { get; init; }

    /// <summary>The most problems that are told in words, at least 1; 20 by default. What is left out is counted.</summary>
    public int MaximumProblems { get; init; } = ModelFile.standard.ErrorLimit;

    /// <summary>Keeps the probabilities of a model in numbers in single precision, which takes half the memory: each is its number over the sum of its row's. Off by default; other files do not ask.</summary>
    public bool SinglePrecision { get; init; }

    /// <summary>Told the share that was read, in (0, 1], of a model in numbers; nobody by default. Other files do not tell.</summary>
    public IProgress<double>? Progress { get; init; }

    /// <summary>Ends the loading with an OperationCanceledException.</summary>
    public CancellationToken Cancellation { get; init; }

    internal ReadOptions Core =>
        new(
            Reward is null ? FSharpValueOption<string>.ValueNone : FSharpValueOption<string>.NewValueSome(Reward),
            Intervals ? FSharpValueOption<double>.NewValueSome(Confidence) : FSharpValueOption<double>.ValueNone,
            Intervals && DistinctRewards
                ? throw new ArgumentException("Intervals and DistinctRewards must not be asked for together but both are", "options")
                : DistinctRewards,
            MaximumProblems >= 1
                ? MaximumProblems
                : throw new ArgumentOutOfRangeException("options", MaximumProblems, "MaximumProblems must be at least 1"),
            SinglePrecision,
            Progress is null ? FuncConvert.FromAction<double>(_ => { }) : FuncConvert.FromAction<double>(Progress.Report),
            Cancellation
        );
}

/// <summary>Where the states of a model lie on a map.</summary>
/// <param name="Rows">Rows of the map, the first at the top.</param>
/// <param name="Columns">Columns of the map.</param>
/// <param name="Cells">For each state its cell, row * Columns + column, or -1.</param>
/// <param name="Marks">For each cell what it shows: S, G, H, C, # or a blank.</param>
/// <param name="Directions">For each action its direction, columns to the right and rows downwards; empty if actions have none.</param>
public sealed record GridMap(
    int Rows,
    int Columns,
    IReadOnlyList<int> Cells,
    IReadOnlyList<char> Marks,
    IReadOnlyList<(int Right, int Down)> Directions
);

/// <summary>A finite Markov decision process: states, actions, probabilities and rewards. It never changes.</summary>
public sealed class DecisionModel
{
    private readonly Lazy<Dictionary<string, int>> numbers;
    private readonly Lazy<IReadOnlyDictionary<string, IReadOnlyList<int>>> labels;

    internal DecisionModel(Model core)
    {
        Core = core;
        numbers = new(() =>
        {
            Dictionary<string, int> found = [];
            for (int state = 0; state < core.StateCount; state++)
            {
                found.TryAdd(core.StateName(state), state);
            }

            return found;
        });
        labels = new(() =>
            core.Labels.ToDictionary(entry => entry.Key, entry => (IReadOnlyList<int>)Array.AsReadOnly(entry.Value.ToArray())).AsReadOnly()
        );
    }

    internal Model Core { get; }

    /// <summary>Loads a model: .tra (PRISM, with the files beside it), .drn (Storm), .json (numbers, with the .bin beside it), or a log in .csv or .parquet.</summary>
    /// <exception cref="ModelFileException">The file is wrong: every problem with its line.</exception>
    /// <exception cref="ArgumentException">An option is no good.</exception>
    /// <exception cref="OperationCanceledException">The caller cancelled.</exception>
    public static DecisionModel Load(string path, LoadOptions? options = null)
    {
        ArgumentNullException.ThrowIfNull(path);
        return new(Results.File(ModelFile.read((options ?? new()).Core, path)));
    }

    /// <summary>Writes the model as .tra (with the files beside it), .drn, or .json (with a .bin beside it: any model, bit for bit, and the quickest to load); files appear whole or not at all.</summary>
    /// <exception cref="ArgumentException">The format cannot hold the model; the message says why.</exception>
    public void Save(string path) => ModelFile.write(path, Core);

    /// <summary>The number of states.</summary>
    public int StateCount => Core.StateCount;

    /// <summary>The number of actions that some state allows.</summary>
    public int ActionCount => Core.ActionCount;

    /// <summary>The number of transitions.</summary>
    public int TransitionCount => Core.TransitionCount;

    /// <summary>True if probabilities are known only to lie in intervals.</summary>
    public bool HasIntervals => Core.IsInterval;

    /// <summary>The largest |sum - 1| of a row before it was normalised.</summary>
    public double Normalisation => Core.Normalisation;

    /// <summary>What was worth saying when the model was made, though no error.</summary>
    public IReadOnlyList<string> Warnings => [.. Core.Warnings];

    /// <summary>The states to start from, possibly none.</summary>
    public IReadOnlyList<int> InitialStates => Core.Initial.ToArray();

    /// <summary>The labels, each with its states.</summary>
    public IReadOnlyDictionary<string, IReadOnlyList<int>> Labels => labels.Value;

    /// <summary>The state's name; its number if it has none. ArgumentOutOfRangeException for no state.</summary>
    public string StateName(int state) => Core.StateName(State(state));

    /// <summary>The action's name; its number if it has none. ArgumentOutOfRangeException for no action.</summary>
    public string ActionName(int action) =>
        action >= 0 && action < ActionCount
            ? Core.ActionName(action)
            : throw new ArgumentOutOfRangeException(nameof(action), action, $"action must lie in [0, {ActionCount})");

    /// <summary>The number of the state with a name.</summary>
    /// <exception cref="ArgumentException">No state has the name.</exception>
    public int StateOf(string name)
    {
        ArgumentNullException.ThrowIfNull(name);
        return numbers.Value.TryGetValue(name, out int state)
            ? state
            : throw new ArgumentException($"the name must be that of a state ('{StateName(0)}', say) but is '{name}'", nameof(name));
    }

    /// <summary>True for states without actions: their value is zero.</summary>
    public bool IsTerminal(int state) => Core.IsTerminal(State(state));

    /// <summary>The actions that a state allows.</summary>
    public IReadOnlyList<int> Actions(int state)
    {
        int first = Core.RowOffsets[State(state)];
        return Core.RowActions[first..Core.RowOffsets[state + 1]].ToArray();
    }

    /// <summary>Where the states lie on a map; null if they lie nowhere.</summary>
    public GridMap? Grid
    {
        get
        {
            if (Core.Grid.IsNone)
            {
                return null;
            }

            var grid = Core.Grid.Value;
            return new(
                grid.Rows,
                grid.Columns,
                [.. grid.Cells],
                [.. grid.Marks],
                [.. grid.Directions.Select(direction => (direction.Item1, direction.Item2))]
            );
        }
    }

    /// <summary>The transitions as a table: state, action, next_state, probability, reward; with intervals also lower and upper.</summary>
    public DataFrame ToDataFrame()
    {
        List<string> states = [], actions = [], next = [];
        for (int state = 0; state < StateCount; state++)
        {
            for (int row = Core.RowOffsets[state]; row < Core.RowOffsets[state + 1]; row++)
            {
                for (int k = Core.Offsets[row]; k < Core.Offsets[row + 1]; k++)
                {
                    states.Add(StateName(state));
                    actions.Add(ActionName(Core.RowActions[row]));
                    next.Add(StateName(Core.Successors[k]));
                }
            }
        }

        DataFrame table = new(
            new StringDataFrameColumn("state", states),
            new StringDataFrameColumn("action", actions),
            new StringDataFrameColumn("next_state", next),
            new DoubleDataFrameColumn("probability", Core.Probabilities.ToArray()),
            new DoubleDataFrameColumn("reward", Core.Rewards.ToArray())
        );
        if (HasIntervals)
        {
            table.Columns.Add(new DoubleDataFrameColumn("lower", Core.Lower.ToArray()));
            table.Columns.Add(new DoubleDataFrameColumn("upper", Core.Upper.ToArray()));
        }

        return table;
    }

    /// <summary>The objective of the expected discounted sum of rewards, largest first; <see cref="DecisionProblem.Minimising"/> turns it round.</summary>
    /// <param name="discount">What a reward one step later is worth, in [0, 1) (ArgumentOutOfRangeException if not).</param>
    public DecisionProblem Discounted(double discount)
    {
        if (!(discount >= 0 && discount < 1))
        {
            throw new ArgumentOutOfRangeException(nameof(discount), discount, "discount must lie in [0, 1)");
        }

        return new(this, Objective.Discounted, discount, null);
    }

    /// <summary>The objective of the expected sum of all rewards, without a discount.</summary>
    public DecisionProblem TotalReward() => new(this, Objective.TotalReward, 1, null);

    /// <summary>The objective of the probability of ever reaching the states with a label; rewards play no part.</summary>
    public DecisionProblem Reaching(string label)
    {
        ArgumentNullException.ThrowIfNull(label);
        return new(this, Objective.Reaching, 1, label);
    }

    internal int State(int state) =>
        state >= 0 && state < StateCount
            ? state
            : throw new ArgumentOutOfRangeException(nameof(state), state, $"state must lie in [0, {StateCount})");
}
