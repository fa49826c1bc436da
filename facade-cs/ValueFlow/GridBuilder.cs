using Microsoft.FSharp.Core;
using ValueFlow.Core.Values;

namespace ValueFlow;

/// <summary>A grid whose cells can be edited. Each change returns a new grid; rows and columns count from zero at the top left. Actions: left, down, right, up.</summary>
public sealed class GridBuilder
{
    private readonly Grid core;

    private GridBuilder(Grid core) => this.core = core;

    /// <summary>A grid of floor on which every move earns the reward.</summary>
    public GridBuilder(int rows, int columns, double reward = 0)
        : this(GridModule.create(rows, columns, reward)) { }

    /// <summary>Makes a cell a wall.</summary>
    public GridBuilder Wall(int row, int column) => new(GridModule.set(row, column, GridModule.wall, core));

    /// <summary>Makes a cell a terminal goal, labelled "goal", with the reward for entering it.</summary>
    public GridBuilder Goal(int row, int column, double reward) => new(GridModule.set(row, column, GridModule.terminal('G', reward), core));

    /// <summary>Makes a cell a terminal hole, labelled "hole", with the reward for entering it.</summary>
    public GridBuilder Hole(int row, int column, double reward) => new(GridModule.set(row, column, GridModule.terminal('H', reward), core));

    /// <summary>Gives a cell a reward for every move into it.</summary>
    public GridBuilder Reward(int row, int column, double reward) =>
        Edit(row, column, cell => With(cell, reward, cell.Start));

    /// <summary>Makes a cell one that episodes start from.</summary>
    public GridBuilder Start(int row, int column) => Edit(row, column, cell => With(cell, cell.Reward, true));

    /// <summary>Makes moves slip with the probability, half to either side.</summary>
    public GridBuilder Slip(double probability) => new(GridModule.slipping(probability, core));

    /// <summary>The model of the grid.</summary>
    public DecisionModel Build() => new(GridModule.toModel(core));

    private static Cell With(Cell cell, double reward, bool start) =>
        new(cell.Mark, cell.Wall, cell.Terminal, reward, cell.SendsTo, start);

    private GridBuilder Edit(int row, int column, Func<Cell, Cell> change) =>
        new(GridModule.edit(row, column, FuncConvert.FromFunc(change), core));
}
